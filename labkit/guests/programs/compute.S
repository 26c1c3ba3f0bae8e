/* compute: a loop in registers only, what processors and translators do best.
 *
 * Instructions retired: 4 + ITERATIONS * 10, then the end (MOV, OUT, CLI, HLT).
 * EDX at the end is a check sum.
 */
#include "support/multiboot.h"

#define ITERATIONS 10000000

    .globl _start
_start:
    movl $ITERATIONS, %ecx
    movl $1, %ebx
    movl $0x12345678, %edx
    xorl %esi, %esi
loop:
    addl %ebx, %edx
    xorl %ecx, %edx
    leal 3(%esi,%ebx,2), %esi
    roll $5, %edx
    subl %esi, %ebx
    andl $0x7FFFFFFF, %esi
    orl $1, %ebx
    addl %esi, %edx
    decl %ecx
    jnz loop
#include "support/finish.h"
