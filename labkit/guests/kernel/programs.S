/* The programs of ring 3, as files inside the kernel image: our stand-in for a disk. */
    .section .rodata
    .altmacro
    .macro FILE name
    .align 4
file_\name:
    .incbin "\name\().elf"
    .endm
    .macro ENTRY name
    .long name_\name, file_\name
    .endm
    .macro NAME name
name_\name:
    .asciz "\name"
    .endm

    .irp name, sh, primes, syscalls, fault, touch, spin, race, forks
    FILE \name
    NAME \name
    .endr

    .align 4
    .globl program_files
    .type program_files, @object
program_files:
    .irp name, sh, primes, syscalls, fault, touch, spin, race, forks
    ENTRY \name
    .endr
    .long 0, 0
    .size program_files, . - program_files
