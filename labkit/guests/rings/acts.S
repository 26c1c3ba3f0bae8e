/* acts: does what a table in its memory says, an access or an operation of the unit each, and notes what came of it. */
    .section .multiboot, "a"
    .align 4
    .long 0x1BADB002, 0, -0x1BADB002

    /* A row of the table, at EDI: what, EBX, ECX, EDX. What: 1 to 15 an operation (unit.h), READ, WRITE, EXECUTE, UPDATE.
       UPDATE reads, adds and writes in one instruction.
       A note, at ESI: cause, then EAX; or after an interruption cause, address, EIP, level.
       CALL asks the kernel here for a level, in ECX. */
    .set READ, 32
    .set WRITE, 33
    .set EXECUTE, 34
    .set UPDATE, 35
    .set SAVED_EIP, 2
    .set SAVED_LEVEL, 3
    .set SAVED_ESP, 4
    .set TABLE, 0x00400000
    .set NOTES, 0x00500000
    .set STACK_TOP, 0x00301000

    .text
    .globl _start
_start:
    movl $TABLE, %edi
    movl $NOTES, %esi
    movl $STACK_TOP, %esp
    jmp act

    .macro unit operation, number
    movl $\operation, %eax
    movl $\number, %ebx
    int $0x60
    .endm

    .globl interrupted              /* at level 0, on a stack that it does not use */
interrupted:
    unit 8, 0
    movl %eax, (%esi)
    unit 8, 1
    movl %eax, 4(%esi)
    unit 8, SAVED_EIP
    movl %eax, 8(%esi)
    unit 8, SAVED_LEVEL
    movl %eax, 12(%esi)
    cmpl $16, (%esi)                /* CALL: to the level that is asked for, where other causes lead back */
    jne 1f
    movl 8(%edi), %ecx
    unit 9, SAVED_LEVEL
1:  movl $next, %ecx
    unit 9, SAVED_EIP
    movl $STACK_TOP, %ecx
    unit 9, SAVED_ESP
    unit 7, 0                       /* RETURN */

    .section .common, "ax"          /* runs at every level */
    .globl next
next:
    addl $16, %edi
    addl $16, %esi
act:
    movl (%edi), %eax
    movl 4(%edi), %ebx
    movl 8(%edi), %ecx
    movl 12(%edi), %edx
    cmpl $WRITE, %eax
    je writes
    cmpl $READ, %eax
    je reads
    cmpl $EXECUTE, %eax
    je executes
    cmpl $UPDATE, %eax
    je updates
    int $0x60
    .globl operated
operated:
    jmp note
    .globl reads
reads:
    movl (%ebx), %eax
    jmp note
    .globl writes
writes:
    movl %ecx, (%ebx)
    jmp note
    .globl updates
updates:
    addl %ecx, (%ebx)
    movl (%ebx), %eax
    jmp note
executes:
    call *%ebx
note:
    movl $0, (%esi)
    movl %eax, 4(%esi)
    jmp next
