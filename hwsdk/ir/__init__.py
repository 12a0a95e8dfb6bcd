"""The hardware-neutral intermediate representation: networks, their meaning, their inputs and their traces."""
