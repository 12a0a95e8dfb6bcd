"""Hardware in the loop: a program on a device, its trace beside the simulator's."""
