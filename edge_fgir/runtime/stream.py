"""Classifying frames as they come: the newest frame wins, timestamps are kept."""
