"""Numba kernels over flat arrays. Each has a plain NumPy twin in the tests."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

U_WRAP = 1 << 23
V_MAX = (1 << 23) - 1

# per-step counters of loihi_block
STEP_COUNTS = ("spikes", "synaptic_operations", "messages", "hops_ew", "hops_ns", "peak_core_synops", "peak_core_spikes",
               "peak_link", "chip_crossings", "wraps", "clips", "peak_core_messages")


@njit(cache=True, nogil=True)
def decay(x: Any, keep: Any) -> Any:
    """sign(x) * (|x| * keep >> 12) without leaving 32 bits: |x| < 2^24 and keep <= 4096 are split at bit 12."""
    m = abs(x)
    y = (m >> 12) * keep + (((m & 4095) * keep) >> 12)
    return y if x >= 0 else -y


@njit(cache=True, nogil=True)
def update_neurons(u: Any, v: Any, a: Any, keep_u: Any, keep_v: Any, bias: Any, theta: Any, reset: Any, reset_by: Any,
                   fires: Any, fired: Any, status: Any) -> int:
    """One step of every neuron; writes the spiking ones to ``fired`` and returns how many. status: wraps, clips."""
    n_fired = 0
    wraps = 0
    clips = 0
    for i in range(len(u)):
        x = decay(u[i], keep_u[i]) + (a[i] << 6)
        if x > U_WRAP:
            x -= 2 * U_WRAP
            wraps += 1
        elif x <= -U_WRAP:
            x += 2 * U_WRAP
            wraps += 1
        u[i] = x
        y = decay(v[i], keep_v[i]) + x + bias[i]
        if y > V_MAX:
            y = V_MAX
            clips += 1
        elif y < -V_MAX:
            y = -V_MAX
            clips += 1
        if y > theta[i] and fires[i]:
            fired[n_fired] = i
            n_fired += 1
            y = 0 if reset[i] == 0 else y - reset_by[i]
        v[i] = y
    status[0] = wraps
    status[1] = clips
    return n_fired


@njit(cache=True, nogil=True)
def loihi_block(
    t0: Any, t1: Any, u: Any, v: Any, ring: Any, keep_u: Any, keep_v: Any, bias: Any, theta: Any, reset: Any,
    reset_by: Any, fires: Any, n_inputs: Any, in_ptr: Any, in_id: Any, in_value: Any, syn_ptr: Any, syn_target: Any,
    syn_weight: Any, syn_delay: Any, flow_ptr: Any, flow_id: Any, flow_synops: Any, flow_core: Any, flow_src: Any,
    flow_ew: Any, flow_ns: Any, flow_cross: Any, link_ptr: Any, link_id: Any, out_step: Any, out_neuron: Any,
    counts: Any, core_totals: Any, probe: Any, probe_u: Any, probe_v: Any, stop_on_overflow: Any,
) -> Any:
    """Run steps t0 .. t1-1, or until the spike buffer could overflow.

    ring: int32 (slots, N), the input of the steps to come. in_ptr (steps+1): input events of each step.
    flow_*: one flow is (sending core, receiving core); flow_id lists the flows of each source. counts (steps, kinds)
    and core_totals (cores, 4: synops, messages in, spikes, updates) are added to. probe: neurons to record, from t0.

    Returns:
        (next step, spikes written, overflow kind 0/1/2, first overflowing neuron).
    """
    n = len(u)
    slots = len(ring)
    n_cores = len(core_totals)
    fired = np.empty(n, np.int32)
    status = np.zeros(2, np.int64)
    core_synops = np.zeros(n_cores, np.int64)
    core_spikes = np.zeros(n_cores, np.int64)
    core_messages = np.zeros(n_cores, np.int64)
    n_flows = len(flow_core)
    flow_count = np.zeros(n_flows, np.int64)
    active = np.empty(n_flows, np.int64)
    n_links = 0
    for k in range(len(link_id)):
        n_links = max(n_links, link_id[k] + 1)
    link_load = np.zeros(n_links, np.int64)
    written = 0
    t = t0
    while t < t1:
        if written + n > len(out_neuron):
            break
        slot = t % slots
        n_fired = update_neurons(u, v, ring[slot], keep_u, keep_v, bias, theta, reset, reset_by, fires, fired, status)
        counts[t, 9] += status[0]
        counts[t, 10] += status[1]
        if stop_on_overflow and (status[0] > 0 or status[1] > 0):
            return t, written, 1 if status[0] > 0 else 2, 0
        ring[slot, :] = 0
        n_active = 0
        core_synops[:] = 0
        core_spikes[:] = 0
        core_messages[:] = 0
        n_in = in_ptr[t + 1] - in_ptr[t]
        for k in range(n_in + n_fired):
            if k < n_in:
                source = in_id[in_ptr[t] + k]
                value = in_value[in_ptr[t] + k]
            else:
                neuron = fired[k - n_in]
                out_step[written] = t
                out_neuron[written] = neuron
                written += 1
                source = n_inputs + neuron
                value = 1
            for s in range(syn_ptr[source], syn_ptr[source + 1]):
                ring[(t + syn_delay[s]) % slots, syn_target[s]] += syn_weight[s] * value
            for f in range(flow_ptr[source], flow_ptr[source + 1]):
                flow = flow_id[f]
                if flow_count[flow] == 0:
                    active[n_active] = flow
                    n_active += 1
                flow_count[flow] += 1
                core_synops[flow_core[flow]] += flow_synops[f]
        synops = 0
        peak = 0
        for c in range(n_cores):
            synops += core_synops[c]
            peak = max(peak, core_synops[c])
            core_totals[c, 0] += core_synops[c]
        counts[t, 0] += n_fired
        counts[t, 1] += synops
        counts[t, 5] = max(counts[t, 5], peak)
        for k in range(n_active):
            flow = active[k]
            load = flow_count[flow]
            flow_count[flow] = 0
            core_messages[flow_core[flow]] += load
            if flow_src[flow] < 0:
                continue
            counts[t, 2] += load
            counts[t, 3] += load * flow_ew[flow]
            counts[t, 4] += load * flow_ns[flow]
            counts[t, 8] += load * flow_cross[flow]
            for h in range(link_ptr[flow], link_ptr[flow + 1]):
                link_load[link_id[h]] += load
        for k in range(n_active):
            flow = active[k]
            for h in range(link_ptr[flow], link_ptr[flow + 1]):
                if link_load[link_id[h]] > counts[t, 7]:
                    counts[t, 7] = link_load[link_id[h]]
        for k in range(n_active):
            flow = active[k]
            for h in range(link_ptr[flow], link_ptr[flow + 1]):
                link_load[link_id[h]] = 0
        for c in range(n_cores):
            core_totals[c, 1] += core_messages[c]
            counts[t, 11] = max(counts[t, 11], core_messages[c])
        for k in range(len(probe)):
            probe_u[t - t0, k] = u[probe[k]]
            probe_v[t - t0, k] = v[probe[k]]
        t += 1
    return t, written, 0, 0
