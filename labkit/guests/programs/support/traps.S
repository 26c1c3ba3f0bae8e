/* Running code that is expected to trap, and getting back from wherever it went. */
    .text
    .altmacro
    .macro VECTOR number
.Lvector_\number:
    .if (\number != 8) && (\number != 17) && ((\number < 10) || (\number > 14))
    pushl $0
    .endif
    pushl $\number
    jmp trap_entry
    .endm
    .set .Lnumber, 0
    .rept 256
    VECTOR %.Lnumber
    .set .Lnumber, .Lnumber + 1
    .endr

trap_entry:
    pushal
    pushl %ds
    pushl %es
    pushl %fs
    pushl %gs
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    cld
    pushl %esp
    call trap_arrived
    addl $4, %esp
    testb %al, %al
    jz come_back
    popl %gs
    popl %fs
    popl %es
    popl %ds
    popal
    addl $8, %esp
    iretl

/* Undo whatever the code did to segment registers, stack and flags, and return from enter_... */
    .globl come_back
come_back:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movl way_back, %esp
    popfl
    popal
    ret

/* void enter_ring0(const char *code) */
    .globl enter_ring0
enter_ring0:
    pushal
    pushfl
    movl %esp, way_back
    call *40(%esp)
    jmp come_back

/* void enter_frame(const struct trap_frame *frame): registers from the frame, then IRET */
    .globl enter_frame
enter_frame:
    pushal
    pushfl
    movl %esp, way_back
    movl 40(%esp), %esp
    popl %gs
    popl %fs
    popl %es
    popl %ds
    popal
    addl $8, %esp
    iretl

/* Ring 3 code that returns comes here: run_ring3 put this address on its stack. */
    .globl user_done
user_done:
    int $0x40

    .section .rodata
    .align 4
    .globl vector_table
vector_table:
    .macro ENTRY_OF number
    .long .Lvector_\number
    .endm
    .set .Lnumber, 0
    .rept 256
    ENTRY_OF %.Lnumber
    .set .Lnumber, .Lnumber + 1
    .endr

    .bss
    .align 4
way_back:
    .skip 4
    .align 4096
    .skip 4096
    .globl user_stack_top
user_stack_top:
    .skip 4096
    .globl trap_stack_top
trap_stack_top:
