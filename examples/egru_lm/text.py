"""The text of the language model: short stories of a harbour, written by a small grammar.

Every sentence remembers something: who is a she and who is a he, which boat left, how many crates it carried.
"""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

ALPHABET = " .abcdefghijklmnopqrstuvwxyz"
PEOPLE = {"anna": "she", "bert": "he", "clara": "she", "david": "he", "emma": "she", "felix": "he"}
BOATS = ("red", "green", "white", "old")
GOODS = ("salt", "fish", "wool", "timber")
NUMBERS = ("two", "three", "five", "nine")
DAYS = ("monday", "friday", "sunday")
QUAYS = ("north", "south", "west")
SEED, HELD_OUT_SEED = 0, 1


def write(characters: int, seed: int) -> str:
    """At least ``characters`` characters of whole stories, in ALPHABET; equal for equal seeds."""
    rng = random.Random(seed)  # random() gives the same numbers in every Python; numpy's streams may change

    def one(words: tuple[str, ...]) -> str:
        return words[int(rng.random() * len(words))]

    stories: list[str] = []
    while sum(map(len, stories)) < characters:
        name, boat, goods, number, quay = one(tuple(PEOPLE)), one(BOATS), one(GOODS), one(NUMBERS), one(QUAYS)
        stories.append(f"on {one(DAYS)} {name} took the {boat} boat to the {quay} quay. {PEOPLE[name]} loaded {number} "
                       f"crates of {goods}. the {boat} boat came back with {number} crates. {name} sold the {goods}. ")
    return "".join(stories)


def choices() -> float:
    """How many different stories there are; all are equally likely."""
    return float(np.prod([len(words) for words in (PEOPLE, BOATS, GOODS, NUMBERS, DAYS, QUAYS)]))


def encode(text: str) -> NDArray[np.int64]:
    """Indices into ALPHABET."""
    return np.array([ALPHABET.index(character) for character in text])


def decode(indices: NDArray[np.int64]) -> str:
    """The text of indices."""
    return "".join(ALPHABET[i] for i in indices)
