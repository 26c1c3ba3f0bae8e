/* stores: four loads and four stores in each round, over a window of 16 KB (four pages).
 *
 * Instructions retired: 3 + ITERATIONS * 13, then the end (MOV, OUT, CLI, HLT).
 */
#include "support/multiboot.h"

#define ITERATIONS 5000000
#define WINDOW 0x4000

    .globl _start
_start:
    movl $ITERATIONS, %ecx
    xorl %esi, %esi
    xorl %ebx, %ebx
loop:
    movl window(%esi), %eax
    addl %ecx, %eax
    movl %eax, window(%esi)
    addl window+4(%esi), %ebx
    movl %ebx, window+4(%esi)
    movl window+8(%esi), %edx
    movl %edx, window+12(%esi)
    addl %eax, window+8(%esi)
    addl $16, %esi
    andl $WINDOW - 1, %esi
    nop
    decl %ecx
    jnz loop
#include "support/finish.h"

    .bss
    .align 4096
window:
    .skip WINDOW
