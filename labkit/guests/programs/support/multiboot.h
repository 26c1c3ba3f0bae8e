/* Multiboot header (Multiboot Specification 0.6.96, 3.1), for assembly: magic, flags, checksum. */
    .section .multiboot, "a"
    .align 4
    .long 0x1BADB002, 0, -0x1BADB002
    .text
