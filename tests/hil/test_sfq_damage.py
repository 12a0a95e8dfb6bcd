"""Damaged images and states of SFQ netlists: the controller refuses or runs them, and never reaches outside them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from sfq_random import random_netlist
from shell import FLAGS, STUBS
from test_sfq_runner import STYLES, compiled_xor

from hwsdk.hil.image_sfq import image_of

FUZZ = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int shell_open(const uint8_t *, uint32_t, uint8_t *, uint32_t, uint32_t *, const char **);
int shell_step(uint32_t, uint32_t, const uint32_t *, const void *, int, uint32_t *, uint32_t *, uint8_t *,
               const char **);
void shell_state(uint8_t **, uint32_t *);
int shell_check_state(void);

static uint64_t seed;
static uint32_t any(uint32_t n) { seed = seed * 6364136223846793005u + 1442695040888963407u; return (seed >> 33) % n; }
static uint32_t word(const uint8_t *p) { uint32_t x; memcpy(&x, p, 4); return x; }

static void damage(uint8_t *p, uint32_t from, uint32_t bytes) {
    for (uint32_t k = 1 + any(3); k && bytes > from + 4; k--) {
        uint32_t at = from + any((bytes - from) / 4) * 4, x = word(p + at);
        uint32_t odd[] = {0, 1, -1u, x + 1, x - 1, x ^ 1u << any(32), any(1u << 31), any(300), 1u << any(32)};
        memcpy(p + at, odd + any(9), 4);
    }
}

static uint32_t steps(uint32_t first, uint32_t n_in, uint32_t n_out) {
    uint32_t *found = malloc(4 * n_out + 4), *index = malloc(4 * n_in + 4), done = 0, n;
    uint8_t *values = malloc(4 * n_out + 4);
    const char *text;
    for (uint32_t t = first; t < first + 6; t++) {
        uint32_t k = 0, drain = t >= first + 4;
        for (uint32_t i = 0; i < n_in && !drain; i++) if (any(2)) index[k++] = i;
        done += !shell_step(t, k, index, NULL, drain, &n, found, values, &text);
    }
    free(found), free(index), free(values);
    return done;
}

int main(int argc, char **argv) {
    uint32_t bound = 0, done = 0, kept = 0, room = 1 << 16, rounds = strtoul(argv[1], NULL, 0), why[2], n;
    const char *text;
    seed = strtoul(argv[2], NULL, 0);
    for (uint32_t round = 0; round < rounds; round++) {
        FILE *f = fopen(argv[3 + round % (argc - 3)], "rb");
        static uint8_t whole[1 << 20];
        uint32_t bytes = fread(whole, 1, sizeof whole, f);
        fclose(f);
        damage(whole, any(8) ? 64 + 8 * word(whole + 12) : 12, bytes);
        uint8_t *image = malloc(bytes), *arena = malloc(room), *base;
        memcpy(image, whole, bytes);
        uint32_t at = word(image + 64); /* much that is damaged would run for long */
        if (at % 8 == 0 && at <= bytes - 56 && at >= 64) memcpy(image + at + 48, &(uint64_t){5000}, 8);
        if (!shell_open(image, bytes, arena, room, why, &text)) {
            shell_state(&base, &n); /* the state is the last that is taken: the arena ends there */
            uint32_t used = base - arena + n;
            free(arena), arena = malloc(used);
            if (shell_open(image, bytes, arena, used, why, &text)) abort();
            bound++;
            done += steps(0, word(image + 16), word(image + 20));
            shell_state(&base, &n);
            damage(base, any(2) ? 0 : 56, n);
            if (!shell_check_state()) { kept++; steps(word(base), word(image + 16), word(image + 20)); }
        }
        free(image), free(arena);
    }
    printf("%u %u %u\n", bound, done, kept);
}
"""


def fuzzed(folder: Path, rounds: int, seed: int) -> list[int]:
    """[images that were bound, steps that were done, states that were taken]."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler `cc`; install one, e.g. apt install gcc")
    (folder / "fuzz.c").write_text(FUZZ)
    sources = [*(STUBS / f"common/{name}.c" for name in ("image", "maths", "runners")), STUBS / "host/shell.c",
               *(STUBS / "sfq").glob("*.c")]
    flags = [x for x in FLAGS if x not in ("-shared", "-ffreestanding", "-fPIC", "-Wextra", "-Werror", "-O2")]
    made = subprocess.run([compiler, *flags, "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
                           "-DHW_WITH_SFQ", "-o", folder / "fuzz", folder / "fuzz.c", *sources], capture_output=True,
                          text=True)
    if "libasan" in made.stderr or "cannot find -l" in made.stderr:
        pytest.skip("the compiler has no sanitizers: apt install libasan8 libubsan1")
    assert made.returncode == 0, made.stderr
    files = []
    for k, program in enumerate([*map(compiled_xor, STYLES[:3]), random_netlist(3), random_netlist(4, grid=True)]):
        files.append(folder / f"{k}.image")
        files[-1].write_bytes(image_of(program).data)
    run = subprocess.run([folder / "fuzz", str(rounds), str(seed), *files], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return [int(x) for x in run.stdout.split()]


def test_damaged_images_and_states_do_no_harm(tmp_path: Path) -> None:
    bound, done, kept = fuzzed(tmp_path, 2_000, 1)
    assert 200 < bound < 1_800
    assert done > bound
    assert 0 < kept < bound


@pytest.mark.slow
def test_many_damaged_images_and_states_do_no_harm(tmp_path: Path) -> None:
    assert fuzzed(tmp_path, 1_000_000, 2)[0] > 100_000
