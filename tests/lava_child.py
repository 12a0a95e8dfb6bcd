"""Runs one network of test_lava.py in lava-nc and prints how many values differ. Python 3.10 with lava-nc only.

usage: lava_child.py NETWORK.npz
Ends hard after an exception: Lava's stop() would wait for ever then.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import traceback
import warnings

import numpy as np

warnings.filterwarnings("ignore")


def connection(z, row: dict):
    """A Dense or DelayDense process: a delay of d steps is d - 1 of Lava's own, its connections take one step."""
    from lava.proc.dense.process import DelayDense, Dense
    from lava.utils.weightutils import SignMode

    weight = z[row["weight"]]
    form = {"weights": weight, "weight_exp": row["exp"], "num_weight_bits": row["bits"],
            "sign_mode": SignMode[row["mode"].upper()]}
    if row["delay"] == 1:
        return Dense(**form)
    return DelayDense(**form, delays=np.full(weight.shape, row["delay"] - 1), max_delay=row["delay"] - 1)


def neurons(z, name: str):
    """A LIF process; Lava has one decay and threshold a population."""
    from lava.proc.lif.process import LIF

    p = {k: z[f"{name}_{k}"].astype(int) for k in ("du", "dv", "vth", "bias_mant", "bias_exp", "u_init", "v_init")}
    return LIF(shape=p["du"].shape, du=int(p["du"][0]), dv=int(p["dv"][0]), vth=int(p["vth"][0]),
               bias_mant=p["bias_mant"], bias_exp=p["bias_exp"], u=p["u_init"], v=p["v_init"])


def differing(path: str) -> int:
    """Spikes of every step, and u and v after the last step, that are not those of the file."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    z = np.load(path)
    steps, names = int(z["steps"]), json.loads(str(z["populations"]))
    senders = {"in": Source(data=z["input"].T.astype(np.int32)), **{n: neurons(z, n) for n in names}}
    wires = []
    for row in json.loads(str(z["projections"])):
        wires.append(connection(z, row))
        senders[row["source"]].s_out.connect(wires[-1].s_in)
        wires[-1].a_out.connect(senders[row["target"]].a_in)
    sinks = {n: Sink(shape=z[f"{n}_du"].shape, buffer=steps) for n in names}
    for n in names:
        senders[n].s_out.connect(sinks[n].a_in)
    senders[names[-1]].run(condition=RunSteps(steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    wrong = 0
    for n in names:
        wrong += int((z[f"{n}_spikes"] != sinks[n].data.get().astype(int).T).sum())
        wrong += sum(int((getattr(senders[n], x).get().astype(int) != z[f"{n}_{x}"]).sum()) for x in ("u", "v"))
    senders[names[-1]].stop()
    return wrong


if __name__ == "__main__":
    try:
        print(json.dumps({"differing": differing(sys.argv[1])}), flush=True)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(1)
