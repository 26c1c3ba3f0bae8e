/* triple: the shortest way to a shutdown, a triple fault.
 *
 * With an empty IDT the breakpoint cannot be delivered (#GP), nor can that (#DF), nor can that: the third
 * failure shuts the processor down, and a PC then resets.
 */
#include "support/multiboot.h"

    .globl _start
_start:
    movl $stack_top, %esp
    lidt empty
    int3
    hlt                                 /* never reached */

empty:
    .word 0                             /* limit: not even vector 0 is inside */
    .long 0

    .bss
    .skip 64
stack_top:
