/* First instruction at 0x80000000: stack, zeroed memory, trap vector, then main. */
    .section .start, "ax"
    .globl _start
_start:
    csrw mie, zero
    la sp, stack_top
    la t0, board_trap
    csrw mtvec, t0
    la t0, bss_start
    la t1, bss_end
1:  bgeu t0, t1, 2f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 1b
2:  call main
3:  call hal_reboot
    j 3b
