/* bounce: nothing but port accesses, each of which leaves the guest: what does an exit cost?
 *
 * Port 80h is the PC's diagnostic port: a byte written there does nothing.
 *
 * Instructions retired: 1 + ITERATIONS * 4, then the end (MOV, OUT, CLI, HLT). 2 * ITERATIONS port accesses.
 */
#include "support/multiboot.h"

#define ITERATIONS 100000

    .globl _start
_start:
    movl $ITERATIONS, %ecx
loop:
    outb %al, $0x80
    inb $0x80, %al
    decl %ecx
    jnz loop
#include "support/finish.h"
