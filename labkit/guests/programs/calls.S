/* calls: direct and indirect calls and returns. A translator must look up where each return goes.
 *
 * Instructions retired: 4 + ITERATIONS * 11, then the end (MOV, OUT, CLI, HLT).
 */
#include "support/multiboot.h"

#define ITERATIONS 5000000

    .globl _start
_start:
    movl $stack_top, %esp
    movl $ITERATIONS, %ecx
    xorl %eax, %eax
    movl $second, %edx
loop:
    call first
    call *%edx
    decl %ecx
    jnz loop
#include "support/finish.h"

first:
    addl $1, %eax
    call second
    ret
second:
    addl $2, %eax
    ret

    .bss
    .align 4096                         /* not in a page of code: stores there would look like new code */
    .skip 4096
stack_top:
