/* Start of the programs written in C: a stack, then main. */
#include "support/multiboot.h"

    .globl _start
    .type _start, @function
_start:
    movl $stack_top, %esp
    xorl %ebp, %ebp
    call bare_init
    call main
1:  cli
    hlt
    jmp 1b
    .size _start, . - _start

    .bss
    .align 4096                         /* apart from code: stores beside it look like new code */
    .skip 0x4000
stack_top:
