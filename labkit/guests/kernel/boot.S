/* Boot: the first instructions. The boot loader leaves us in 32-bit protected mode, paging off, at physical
 * address 1 MB; the kernel is linked to run at C0100000. Here paging is turned on and we jump up there.
 *
 * Multiboot header (Multiboot Specification 0.6.96, 3.1): within the first 8 KB, 4-byte aligned.
 *   +0 magic 1BADB002   +4 flags: 1 = modules page aligned, 2 = tell us the memory size   +8 -(magic + flags)
 */
#include "layout.h"

#define MULTIBOOT_HEADER_MAGIC 0x1BADB002
#define MULTIBOOT_FLAGS 0x3

#define PTE_PRESENT_WRITABLE 0x3
#define CR0_PG 0x80000000
#define CR0_WP 0x00010000

#define PHYSICAL(symbol) (symbol - KERNEL_BASE)

    .section .multiboot, "a"
    .align 4
    .long MULTIBOOT_HEADER_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_HEADER_MAGIC + MULTIBOOT_FLAGS)

    .section .boot.text, "ax"
    .globl _start
    .type _start, @function
_start:
    cld
    movl %eax, %esi                     /* multiboot magic, kept for kernel_main */

    /* One page table maps the first 4 MB. */
    movl $PHYSICAL(boot_page_table), %edi
    movl $PTE_PRESENT_WRITABLE, %eax
    movl $1024, %ecx
1:  movl %eax, (%edi)
    addl $PAGE_SIZE, %eax
    addl $4, %edi
    loop 1b

    /* It appears twice: at 0, because the next instruction is fetched from here, and at C0000000. */
    movl $PHYSICAL(boot_page_table) + PTE_PRESENT_WRITABLE, %eax
    movl %eax, PHYSICAL(kernel_page_directory)
    movl %eax, PHYSICAL(kernel_page_directory) + (KERNEL_BASE >> 22) * 4
    movl $PHYSICAL(kernel_page_directory), %eax
    movl %eax, %cr3

    movl %cr0, %eax
    orl $CR0_PG | CR0_WP, %eax          /* WP: read-only is for the kernel too (copy-on-write needs it) */
    movl %eax, %cr0
    movl $higher_half, %eax
    jmp *%eax
    .size _start, . - _start

    .text
    .type higher_half, @function
higher_half:
    movl $boot_stack_top, %esp
    xorl %ebp, %ebp                     /* ends a stack trace */
    pushl %ebx                          /* physical address of the multiboot information */
    pushl %esi                          /* magic */
    call kernel_main
1:  cli
    hlt
    jmp 1b
    .size higher_half, . - higher_half

    .bss
    .align PAGE_SIZE
    .globl kernel_page_directory
    .type kernel_page_directory, @object
kernel_page_directory:
    .skip PAGE_SIZE
    .size kernel_page_directory, PAGE_SIZE
    .type boot_page_table, @object
boot_page_table:
    .skip PAGE_SIZE
    .size boot_page_table, PAGE_SIZE
boot_stack:
    .skip PAGE_SIZE
    .globl boot_stack_top
boot_stack_top:
