"""Schematics of our circuits of the pulse-logic cells, as data: one row an element.

Topologies are those of textbooks (K. K. Likharev and V. K. Semenov, IEEE Trans. Appl. Supercond. 1 (1991) 3-28): a loop
whose inductance holds one flux quantum, a junction in series over which a pulse that must not pass escapes, and
transmission lines at every pin. Values were found by our own search for a wide bias window, with the solver of
hwsdk.simulators.rcsj; they are nobody's published cells, and junction counts differ from those of other libraries.

Rows: ``J node uA`` junction to ground; ``X p m uA`` junction in series; ``L p m pH``; ``R p m ohm``;
``B node uA`` bias current; ``T p m ohm ps`` lossless line, a ladder;
``in pin node``: a pin's inductor, its junction and its bias, the same for every cell but splitters.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sheet:
    """inputs, outputs: pins, which are nodes of that name. entry: input -> node of its first junction. last: output ->
    junction that sends its pulses, where that is not the one behind its inductor. passive: pins at a passive line.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    entry: dict[str, str]
    rows: str
    last: dict[str, str] = field(default_factory=dict)
    passive: tuple[str, ...] = ()


SHEETS: dict[str, Sheet] = {
    "JTL": Sheet(("a",), ("q",), {"a": "1"}, """
        L a 1 2.07; J 1 250; L 1 m 2.07; B m 350; L m 2 2.07; J 2 250; L 2 q 2.07
    """),
    "SPLIT": Sheet(("a",), ("q0", "q1"), {"a": "1"}, """
        L a 1 2.07; J 1 325; B 1 230; L 1 m 2.1; B m 140
        L m 2 1.6; J 2 250; B 2 120; L 2 q0 2.07
        L m 3 1.6; J 3 250; B 3 120; L 3 q1 2.07
    """),
    # Either input's pulse flips the common junction; the series junction on the other side escapes.
    "MERGE": Sheet(("a", "b"), ("q",), {"a": "1", "b": "4"}, """
        in a 1; L 1 2 3.3; J 2 200; X 2 3 176
        in b 4; L 4 5 3.3; J 5 200; X 5 3 176
        B 3 400; L 3 6 2.3; J 6 253; L 6 7 4.2; B 7 277; J 7 305; L 7 q 2.07
    """),
    # a flips 3 and leaves a flux quantum in 3-4, which loads 4; clk flips 4 if it is loaded, else it escapes.
    "DFF": Sheet(("a", "clk"), ("q",), {"a": "1", "clk": "5"}, """
        in a 1; L 1 2 2.5; X 2 3 187; J 3 220; B 3 143; L 3 4 11
        in clk 5; L 5 6 2.5; X 6 4 178; J 4 186; B 4 10
        L 4 7 3.5; J 7 250; B 7 175; L 7 q 2.07
    """),
    # Of the loop's two junctions the loaded one flips, and the pulse escapes on the other's side.
    "TFF": Sheet(("a",), ("q",), {"a": "1"}, """
        in a 1; L 1 2 2.1; J 2 250; B 2 168; L 2 t 1.5
        X t 3 180; X t 4 182; J 3 194; J 4 200; L 3 4 7; B 3 114
        L 4 5 3; J 5 250; B 5 164; L 5 q 2.07
    """),
    # The loop 3-4 of a DFF, without its clk. Halfway, at m, its phase is near pi while it holds a flux quantum, which
    # loads 9 over the junction in series: then clk flips 9, and the junction in series slips, which leaves the loop.
    "NDRO": Sheet(("a", "b", "clk"), ("q",), {"a": "1", "b": "5", "clk": "10"}, """
        in a 1; L 1 2 2.77; X 2 3 211; J 3 234; B 3 159.5; L 3 m 6.23; L m 4 4.92
        in b 5; L 5 6 2.42; X 6 4 142; J 4 183
        L m 8 0.55; X 8 9 72
        in clk 10; L 10 11 2.9; X 11 9 166; J 9 150; B 9 45
        L 9 12 4.45; J 12 197; B 12 157; L 12 q 2.07
    """),
    # MERGE into DFF.
    "OR2": Sheet(("a", "b", "clk"), ("q",), {"a": "1", "b": "4", "clk": "12"}, """
        in a 1; L 1 2 3.3; J 2 200; X 2 3 173
        in b 4; L 4 5 3.3; J 5 200; X 5 3 173
        B 3 400; L 3 6 2.3; J 6 264; L 6 7 4.2; B 7 277; J 7 320
        L 7 8 2.5; X 8 9 187; J 9 192; B 9 126; L 9 10 11
        in clk 12; L 12 13 2.5; X 13 10 178; J 10 186; B 10 9.6
        L 10 11 3.5; J 11 250; B 11 137; L 11 q 2.07
    """),
    # Two DFFs with one clk; 15 flips if both give a pulse, else the pulse escapes on its way there.
    "AND2": Sheet(("a", "b", "clk"), ("q",), {"a": "1", "b": "5", "clk": "c"}, """
        in a 1; L 1 2 2.45; X 2 3 187; J 3 208; B 3 118; L 3 4 11
        in b 5; L 5 6 2.45; X 6 7 187; J 7 208; B 7 118; L 7 8 11
        L clk c 2.07; J c 325; B c 230; L c s 2.1; B s 140
        L s 9 1.6; J 9 231; B 9 120; L 9 10 2.5; X 10 4 178; J 4 186
        L s 11 1.6; J 11 231; B 11 120; L 11 12 2.5; X 12 8 178; J 8 186
        L 4 13 1.84; X 13 15 130; L 8 14 1.84; X 14 15 130
        J 15 211; B 15 103; L 15 16 3.1; J 16 230; B 16 170; L 16 q 2.07
    """),
    # a flips 4 and leaves a flux quantum in 3-4, whose middle m then lies near -pi for 9, as the junction in series
    # slips; that and the bias at m say whether clk flips 9. A later copy of clk takes the flux quantum out.
    "NOT": Sheet(("a", "clk"), ("q",), {"a": "1", "clk": "c"}, """
        in a 1; L 1 2 2.94; X 2 4 219; J 4 219; B 4 56.5; L 4 m 7.05; B m 104; L m 3 6.16; J 3 232
        L m 8 0.92; X 8 9 80.4
        L clk c 2.07; J c 325; B c 230; L c s 2.09; B s 150
        L s 10 1.71; J 10 234; B 10 120; L 10 11 2.77; X 11 9 178; J 9 143; B 9 55.4
        L s 13 1.58; J 13 222; B 13 146; L 13 15 3.94; J 15 220; B 15 121; L 15 14 2.24; X 14 3 132
        L 9 12 5.72; J 12 185; B 12 137; L 12 q 2.07
    """),
    "BUFF": Sheet(("a",), ("q",), {"a": "1"}, """
        in a 1; L 1 2 4.14; J 2 250; B 2 175; L 2 3 4.14; J 3 250; B 3 175; L 3 4 4.14; J 4 250; B 4 175; L 4 q 2.07
    """),
    # Behind t stands the line, a ladder. The resistor keeps flux quanta out of it, and with the junction's shunt it
    # takes up what is reflected.
    "PTLTX": Sheet(("a",), ("q",), {"a": "1"}, """
        in a 1; L 1 2 2.94; J 2 285; B 2 208; R 2 t 0.9
    """, {"q": "j2"}, ("q",)),
    # Small junctions first, as less than one flux quantum arrives.
    "PTLRX": Sheet(("a",), ("q",), {"a": "1"}, """
        L a 1 1.74; J 1 117; B 1 80; L 1 2 5.57; J 2 153; B 2 150; L 2 3 2.9; J 3 250; B 3 175; L 3 q 2.07
    """, {}, ("a",)),
    # a and b turn one end each of a loop, 3 and 4, and escape at an end that is ahead. Its middle m lies near pi while
    # one end is ahead, whichever; once both went, at a full turn, as if none had. m is read as in an NDRO. A later copy
    # of clk goes to both ends, which empties the loop: it turns the one that is behind, or both of an empty loop.
    "XOR": Sheet(("a", "b", "clk"), ("q",), {"a": "1", "b": "5", "clk": "c"}, """
        in a 1; L 1 2 3.14; J 2 169; X 2 3 199; J 3 155; B 3 131; L 3 m 6.27
        in b 5; L 5 6 3.14; J 6 169; X 6 4 199; J 4 155; B 4 131; L 4 m 6.27
        L m 8 0.367; X 8 9 62.1
        L clk c 2.07; J c 325; B c 230; L c s 2.1; B s 150
        L s 10 1.7; J 10 307; B 10 120; L 10 11 2.54; X 11 9 169; J 9 186; B 9 67.6
        L 9 12 6.08; J 12 173; B 12 109; L 12 q 2.07
        L s 13 1.6; J 13 193; B 13 150; L 13 14 3.86; J 14 221; B 14 304
        L 14 15 2.84; J 15 197; X 15 3 95.4; L 14 16 2.84; J 16 197; X 16 4 95.4
    """),
    # The loop of XOR, read at m as in a NOT.
    "XNOR": Sheet(("a", "b", "clk"), ("q",), {"a": "1", "b": "5", "clk": "c"}, """
        in a 1; L 1 2 3.1; J 2 179; X 2 3 211; J 3 179; B 3 133; L 3 m 6.39
        in b 5; L 5 6 3.1; J 6 179; X 6 4 211; J 4 179; B 4 133; L 4 m 6.39
        B m 91.3; L m 8 0.839; X 8 9 74.7
        L clk c 2.07; J c 325; B c 230; L c s 2.1; B s 150
        L s 10 1.7; J 10 299; B 10 120; L 10 11 2.87; X 11 9 169; J 9 132; B 9 50
        L 9 12 5.89; J 12 153; B 12 117; L 12 q 2.07
        L s 13 1.6; J 13 205; B 13 149; L 13 14 3.55; J 14 203; B 14 295
        L 14 15 2.88; J 15 191; X 15 3 94.2; L 14 16 2.88; J 16 191; X 16 4 94.2
    """),
}
