/* Where a program begins, and its two doors into the kernel (../syscall_numbers.h). */
#include "../syscall_numbers.h"

    .section .text.start, "ax"
    .globl _start
_start:
    xorl %ebp, %ebp
    call main                           /* exec left the arguments' address on the stack: main(arguments) */
    pushl %eax
    call exit

/* int system_call(number, a, b, c): by INT 80h. EBX, ESI, EDI belong to the caller of a C function. */
    .text
    .globl system_call
    .type system_call, @function
system_call:
    pushl %ebx
    pushl %esi
    pushl %edi
    movl 16(%esp), %eax
    movl 20(%esp), %ebx
    movl 24(%esp), %esi
    movl 28(%esp), %edi
    int $0x80
    popl %edi
    popl %esi
    popl %ebx
    ret
    .size system_call, . - system_call

/* The same by SYSENTER: it saves nothing, so the way back is passed in ECX (stack) and EDX (address). */
    .globl system_call_fast
    .type system_call_fast, @function
system_call_fast:
    pushl %ebx
    pushl %esi
    pushl %edi
    movl 16(%esp), %eax
    movl 20(%esp), %ebx
    movl 24(%esp), %esi
    movl 28(%esp), %edi
    movl %esp, %ecx
    movl $1f, %edx
    sysenter
1:  popl %edi
    popl %esi
    popl %ebx
    ret
    .size system_call_fast, . - system_call_fast
