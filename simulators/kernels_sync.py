"""What Numba has no word for: a prefetch, and a barrier between threads that run kernels without the GIL."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import sys
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

# untyped, since Numba's types know neither these options nor that an intrinsic is called with one argument less
_njit: Any = njit
_intrinsic: Any = intrinsic
kernel = _njit(cache=True, nogil=True, _nrt=False)
"""Compiles a kernel that allocates nothing, so that no references are counted: that costs, most of all with threads."""
inner = _njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)
"""The same for one that only kernels call: with no entry for Python, and kept on disk within those that call it."""
LINE = 8
"""int64 in a cache line of 64 bytes."""
ARRIVED, TURN, BROKEN = 0, LINE, 2 * LINE
SPINS = 2000
"""Looks at the barrier before the thread lets others run: about a microsecond, less than a switch of threads."""


def barrier_state() -> NDArray[np.int64]:
    """The counters of one barrier, each in a cache line of its own."""
    return np.zeros(3 * LINE, np.int64)


def _item(context: Any, builder: Any, array_type: Any, array: Any, *index: Any) -> Any:
    """Address of an element of an array."""
    made = context.make_array(array_type)(context, builder, array)
    return cgutils.get_item_pointer(context, builder, array_type, made, list(index), wraparound=False)  # type: ignore[no-untyped-call]


def _prefetch(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """The code of both forms of prefetch."""
    byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
    address = builder.bitcast(_item(context, builder, signature.args[0], *args), byte)
    function = builder.module.declare_intrinsic(
        "llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag]))
    builder.call(function, [address, flag(0), flag(3), flag(1)])  # read, keep close, data
    return context.get_dummy_value()


@_intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """prefetch(array, index): begin to load that element's cache line."""
    return types.void(array, types.intp), _prefetch


@_intrinsic
def prefetch_in_row(typing: Any, array: Any, row: Any, index: Any) -> Any:
    """prefetch_in_row(array, row, index): the same of a two-dimensional array."""
    return types.void(array, types.intp, types.intp), _prefetch


@_intrinsic
def stay_apart(typing: Any) -> Any:
    """stay_apart(): never inline the kernel that says this: LLVM makes vector code of its loop only while it can see
    that few arrays are involved.
    """
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


@_intrinsic
def _atomic_add(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """array[index] += value for all threads at once; returns what was there."""
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _item(context, builder, signature.args[0], args[0], args[1])
        return builder.atomic_rmw("add", address, args[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), codegen


@_intrinsic
def _atomic_load(typing: Any, array: Any, index: Any) -> Any:
    """array[index], and with it all that its writer wrote before."""
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_item(context, builder, signature.args[0], *args), "seq_cst", 8)

    return types.int64(array, types.intp), codegen


_let_others_run = types.ExternalFunction("SwitchToThread" if sys.platform == "win32" else "sched_yield", types.int32())


@kernel
def wait_for_all(state: Any, parts: int) -> bool:
    """Wait until ``parts`` threads are here; False if one of them broke off.

    A thread that waits long gives its core away, so more threads than cores are slow but get on.
    """
    if parts == 1:
        return True
    turn = _atomic_load(state, TURN)
    if _atomic_add(state, ARRIVED, 1) == parts - 1:
        _atomic_add(state, ARRIVED, -parts)
        _atomic_add(state, TURN, 1)
        return True
    spins = 0
    while _atomic_load(state, TURN) == turn:
        spins += 1
        if spins >= SPINS:
            spins = 0
            _let_others_run()
            if _atomic_load(state, BROKEN):
                return False
    return True


def break_off(state: NDArray[np.int64]) -> None:
    """Tell the threads that wait that one will never come."""
    state[BROKEN] = 1
