/* Entry and exit of the kernel. Each vector pushes its number; then all build the trap frame of trap.h.
 * Some exceptions push an error code (8, 10 to 14, 17); the others push 0 here so that all frames are alike.
 */
#include "layout.h"

    .text
    .altmacro
    .macro VECTOR number
vector_\number:
    .if (\number != 8) && (\number != 17) && ((\number < 10) || (\number > 14))
    pushl $0
    .endif
    pushl $\number
    jmp trap_entry
    .endm

    .set number, 0
    .rept 48
    VECTOR %number
    .set number, number + 1
    .endr

    .globl vector_syscall
    .type vector_syscall, @function
vector_syscall:
    pushl $0
    pushl $VECTOR_SYSCALL
    /* falls through */

    .type trap_entry, @function
trap_entry:
    pushal
    pushl %ds
    pushl %es
    pushl %fs
    pushl %gs
    movl $KERNEL_DS, %eax               /* a program may have left anything in its segment registers */
    movl %eax, %ds
    movl %eax, %es
    cld
    pushl %esp                          /* the argument: struct trap_frame * */
    call trap
    addl $4, %esp
    /* falls through */

    .globl trap_return
    .type trap_return, @function
trap_return:
    popl %gs
    popl %fs
    popl %es
    popl %ds
    popal
    addl $8, %esp                       /* vector, error */
    iretl
    .size trap_return, . - trap_return

/* SYSENTER comes here: ring 0, interrupts off, and nothing saved. By our convention the program put its ESP
 * in ECX and the address to return to in EDX, where SYSEXIT wants them. ESP points at the TSS's esp0.
 */
    .globl sysenter_entry
    .type sysenter_entry, @function
sysenter_entry:
    movl (%esp), %esp
    pushl $USER_DS
    pushl %ecx                          /* esp */
    pushfl
    orl $0x200, (%esp)                  /* IF was on: a program cannot turn it off */
    pushl $USER_CS
    pushl %edx                          /* eip */
    pushl $0
    pushl $VECTOR_SYSENTER
    pushal
    pushl %ds
    pushl %es
    pushl %fs
    pushl %gs
    movl $KERNEL_DS, %eax
    movl %eax, %ds
    movl %eax, %es
    cld
    pushl %esp
    call trap
    addl $4, %esp
    popl %gs
    popl %fs
    popl %es
    popl %ds
    popal
    movl 8(%esp), %edx                  /* eip */
    movl 20(%esp), %ecx                 /* esp */
    sti                                 /* takes effect after the next instruction: no interrupt in between */
    sysexit
    .size sysenter_entry, . - sysenter_entry

    .section .rodata
    .align 4
    .globl vector_table
    .type vector_table, @object
vector_table:
    .macro ENTRY_OF number
    .long vector_\number
    .endm
    .set number, 0
    .rept 48
    ENTRY_OF %number
    .set number, number + 1
    .endr
    .size vector_table, . - vector_table
