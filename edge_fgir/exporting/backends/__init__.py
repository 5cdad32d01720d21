"""What builders make: one module a file format; ``builders.py`` says which runtime takes which."""
