"""A run folder as one object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from edge_fgir._errors import InputError
from edge_fgir._files import read_utf8, regular, sha256, to_json, write_atomic
from edge_fgir._run_files import RunFiles
from edge_fgir.data import DataSet, typical_images
from edge_fgir.evaluation import check_classes
from edge_fgir.models import Setting, reestimate
from edge_fgir.models.ila import load_learned, load_whole
from edge_fgir.runs.data_record import DataChange, DataRecord
from edge_fgir.runs.description import TrainedModel
from edge_fgir.runs.recipe import Recipe, read_recipe
from edge_fgir.runtime import OriginInfo, Pixels, Preprocess

if TYPE_CHECKING:
    from edge_fgir.runs.predictor import RunPredictor

ReadPictures = Callable[[Preprocess], Pixels]
"""Returns training pictures under a preprocessing, (N, S, S, 3)."""


@dataclass(frozen=True)
class Run(RunFiles):
    """What a training leaves behind, at a setting that its weights serve.

    Example::

        import edge_fgir as ef

        run = ef.Run.open("runs/student")
        smaller = run.at(ef.Setting(image_size=16))
        print(run.labels, smaller.description.preprocess.size, run.weights)

    Attributes:
        path: The folder.
        setting: Input size, keep rate and reduction method; None: as it was trained.
    """

    setting: Setting | None = None

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Open a run folder; weights are not needed yet.

        Raises:
            InputError: ``path`` is no run folder.
        """
        run = cls(Path(path))
        _ = run.trained_as
        return run

    @cached_property
    def trained_as(self) -> TrainedModel:
        """The model as it was trained, whatever the setting.

        Raises:
            InputError: This is no run folder.
        """
        return TrainedModel.read(self.model)

    @cached_property
    def description(self) -> TrainedModel:
        """The model at the setting.

        Raises:
            InputError: The model's weights do not serve it.
        """
        return self.trained_as.at(self.setting)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The class names in the order of the outputs.

        Raises:
            InputError: There are not as many as the model has outputs.
        """
        names = tuple(read_utf8(self.class_names, "the run's labels").splitlines())
        if len(names) != self.trained_as.num_classes:
            raise InputError(
                f"{self.class_names} has {len(names)} labels",
                f"{self.trained_as.num_classes}, one a class of the model",
                "copy the run again, or train again",
            )
        return names

    @property
    def recipe(self) -> Recipe:
        """The recipe that it was trained by.

        Raises:
            InputError: It is gone.
        """
        return self.changed_recipe(())

    def changed_recipe(self, overrides: Iterable[str]) -> Recipe:
        """Return the recipe with ``key=value`` changes.

        Raises:
            InputError: It is gone, or a change is none of a recipe's.
        """
        if (origin := self.trained_as.imported) is not None:
            raise InputError(
                f"{self.path} was imported from {origin.file}, of whose training nothing is known",
                "a run that edge-fgir train left",
                "train one anew"
                if self.trained_as.network.adapters is not None
                else f"train one that starts from it: --set model.weights={self.last_weights}",
            )
        if not self.config.is_file():
            raise InputError(
                f"{self.path} has no {self.config.name}",
                "a run folder as edge-fgir train leaves it",
            )
        return read_recipe(str(self.config), tuple(overrides))

    @property
    def learned_val(self) -> bool:
        """Whether it learned from val too, which then says nothing of it (``data.with_val``)."""
        with suppress(InputError):  # of an earlier version, or imported: that is not known
            return self.recipe.data.with_val
        return False

    @property
    def weights_hash(self) -> str:
        """The SHA-256 of the weights that are evaluated and exported."""
        return sha256(regular(self.weights).read_bytes())

    @property
    def origin(self) -> OriginInfo:
        """What the weights came from, for a bundle's manifest.

        Raises:
            InputError: The training has not finished.
        """
        recipe = sha256(self.config.read_bytes()) if self.config.is_file() else None
        if (imported := self.trained_as.imported) is not None:
            started_from: str | None = imported.file
        else:
            # A recipe of an earlier version may not be readable today; its hash is.
            try:
                started_from = Path(self.recipe.model.weights).name
            except InputError:
                started_from = None
        return OriginInfo(weights=self.weights_hash, recipe=recipe, started_from=started_from)

    def write(
        self, description: TrainedModel, labels: Iterable[str], data: DataRecord | None = None
    ) -> None:
        """Write what the folder says of its model, and of the data if that is given."""
        if data is not None:
            data.write(self.data_record)
        write_atomic(self.model, to_json(description.model_dump(mode="json")))
        write_atomic(self.class_names, "".join(f"{label}\n" for label in labels))

    def at(self, setting: Setting | None) -> Run:
        """Return the same run at another setting; None: as it was trained.

        Raises:
            InputError: The model's weights do not serve it.
        """
        run = replace(self, setting=setting)
        _ = run.description
        return run

    def check_classes(self, data: DataSet) -> None:
        """Raise InputError if the run knows other classes than ``data``, or in another order."""
        trained_on = f"the data it was trained on ({self.trained_as.data.name})"
        check_classes(f"run {self.path}", self.labels, data, trained_on)

    def data_change(self, data: DataSet) -> DataChange:
        """Return how the pictures of ``data`` differ from those that the run was trained on.

        Raises:
            InputError: It knows other classes, or in another order; or its record is damaged.
        """
        self.check_classes(data)
        if self.data_record.exists():
            record = DataRecord.read(self.data_record)
            return record.change(data, learned_val=self.learned_val)
        known = self.trained_as.data.hash  # of what was learned from, which may include val
        if known == data.info.hash or (
            data.splits.get("val") and known == data.with_val_in_train().info.hash
        ):
            return DataChange()
        return DataChange(unknown=True)

    def check_data(self, data: DataSet, *, accept_change: bool = False) -> None:
        """Refuse data that is not what the run was trained on.

        Args:
            data: The data.
            accept_change: Other pictures of the same classes are meant.

        Raises:
            InputError: It has other classes, or in another order; or other pictures, which are
                not accepted.
        """
        change = self.data_change(data)
        known = self.trained_as.imported is None  # else nothing is known that could differ
        if change.other_pictures and known and not accept_change:
            raise InputError(
                f"data {data.name} has other pictures than run {self.path} was trained on "
                f"({change})",
                "the same ones",
                "if that is meant, add --accept-data-change",
            )

    def train_counts(self, data: DataSet) -> tuple[int, ...]:
        """Return the training pictures of each class; nothing where they are not known.

        Runs of earlier versions do not say them; they are counted if ``data`` is the run's own.
        """
        if not self.trained_as.train_counts and self.trained_as.data == data.info:
            return tuple(data.counts("train"))
        return self.trained_as.train_counts

    def load(self, train_images: ReadPictures | None = None) -> nn.Module:
        """Load the model at the setting, in evaluation mode.

        Args:
            train_images: Reads the pictures on which BatchNorm statistics are measured again, where
                the setting, or an elastic run, needs it. None: they stay as they were saved.

        Raises:
            InputError: The weights are missing or damaged, or the model does not take the setting.
        """
        described, own = self.description, self.trained_as
        if described == own and (train_images is None or not own.elastic):
            return self._filled(own)
        if own.network.attention_maps:
            size = described.preprocess.size
            own.check_side(size, f"{self.path} at {size} px", f"{own.preprocess.size} px")
            model = self._filled(own)
        elif own.network.adapters is not None:
            model = self._filled(described)
        else:
            # Loading by weights file lets timm resize position embeddings.
            model = described.build(weights=str(self.weights)).eval()
        if train_images is not None and not own.frozen_norms:
            reestimate(model, train_images(described.preprocess), described.normalization)
        return model

    def predictor(
        self,
        data: DataSet,
        *,
        full: bool = False,
        logit_adjustment: float | Literal["auto"] | None = None,
    ) -> RunPredictor:
        """Load the model to be evaluated, on the GPU where there is one.

        Args:
            data: The run's data: its train split measures BatchNorm statistics again where the
                setting needs that, its val split chooses an ``auto`` logit adjustment.
            full: A CAL teacher's full inference, 8 forwards.
            logit_adjustment: tau of the post-hoc logit adjustment; ``auto``: the best for the macro
                accuracy on val. None: none.

        Raises:
            InputError: The run knows other classes, is no CAL teacher, or cannot be loaded.
        """
        from edge_fgir.runs.predictor import RunPredictor

        self.check_classes(data)
        predictor = RunPredictor(self, self.load(partial(typical_images, data)), full=full)
        if logit_adjustment is None:
            return predictor
        return predictor.adjusted(data, logit_adjustment)

    def _filled(self, description: TrainedModel) -> nn.Module:
        model = description.build()
        try:
            state = load_file(regular(self.weights))
            if description.stores_base:
                load_whole(model, state, str(self.weights))
            else:
                load_learned(model, state)
        except (SafetensorError, RuntimeError) as error:
            first = str(error).splitlines()[0]
            raise InputError(
                f"{self.weights} does not hold this model ({first})", "the run as saved"
            ) from error
        return model.eval()
