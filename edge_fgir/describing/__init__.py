"""What a bundle and this package say of themselves to people and programs of others.

The bill of materials is CycloneDX's (1.6, JSON); the card is the page of a model on a hub.
"""

from edge_fgir.describing.card import card_of
from edge_fgir.describing.materials import BILL, bill_of_bundle, read_bill
from edge_fgir.describing.software import bill_of_software

__all__ = ["BILL", "bill_of_bundle", "bill_of_software", "card_of", "read_bill"]
