"""Programs: what is loaded on a chip, one module per chip, saved as one .hwx file."""
