/* rings: four rings of pages, a key for each component, and every access that may fail. */
    .section .multiboot, "a"
    .align 4
    .long 0x1BADB002, 0, -0x1BADB002

    .text
    .globl _start
_start:
    movl $boot_stack + 4096, %esp
    call begin                      /* does not return: leaves by OP_RETURN */

    .globl interrupted              /* level 0, the kernel's stack; EAX has been saved by the unit */
interrupted:
    pushal
    pushl %esp
    call interruption
    addl $4, %esp
    popal
    movl $7, %eax                   /* OP_RETURN */
    int $0x60

    .section .common, "ax"          /* runs in every ring */
    .globl attempt
attempt:                            /* EBX: 1 read, 2 write, 4 execute; EDI: where */
    cmpl $2, %ebx
    jb 1f
    je 2f
    call *%edi                      /* a RET is there */
    jmp 3f
1:  movl (%edi), %eax
    jmp 3f
2:  movl %eax, 0x800(%edi)
3:  movl $13, %eax                  /* OP_CALL: it passed */
    int $0x60
4:  jmp 4b

    .globl work
work:                               /* ECX turns of about 7 instructions, EDI first data page, ESI their number; then a call */
    movl %edi, %ebx
    movl %esi, %edx
5:  addl (%ebx), %eax
    incl 64(%ebx)
    addl $4096, %ebx
    decl %edx
    jnz 6f
    movl %edi, %ebx
    movl %esi, %edx
6:  decl %ecx
    jnz 5b
    movl $13, %eax
    int $0x60
7:  jmp 7b

    .globl forbidden
forbidden:                          /* a privileged operation, in ring 3 */
    movl $2, %eax
    int $0x60
8:  jmp 8b

    .section .gate, "ax"            /* access rights 7: who comes here may become level 0 */
    .globl gate
gate:
    movl $11, %eax                  /* OP_PROMOTE */
    int $0x60
    movl %eax, %ebx                 /* the level that it is now */
    movl $13, %eax
    int $0x60
9:  jmp 9b
