/* Where things lie in the linear address space. Included by C and by assembly, so only numbers here.
 *
 *   FFFFFFFF +--------------------------+
 *            | (nothing mapped)         |
 *            +--------------------------+ C0000000 + size of memory (at most 512 MB)
 *            | direct map: all physical |   linear = physical + C0000000, ring 0 only, the same in every
 *            | memory; the kernel too   |   address space (its image is at C0100000, loaded at 1 MB)
 *   C0000000 +--------------------------+ KERNEL_BASE
 *            | stack, grows down        |   pages appear when they are touched
 *   BFF00000 +--------------------------+ USER_STACK_LIMIT
 *            |                          |
 *   90000000 | one page shared by fork  |   only after the share system call
 *            |                          |
 *            | heap, grows up (sbrk)    |   pages appear when they are touched
 *            | bss, data, text          |
 *   00400000 +--------------------------+ USER_BASE
 *   00000000 | (never mapped: a null pointer faults)
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#define KERNEL_BASE 0xC0000000
#define USER_BASE 0x00400000
#define USER_SHARED 0x90000000
#define USER_HEAP_LIMIT 0x80000000
#define USER_STACK_TOP 0xC0000000
#define USER_STACK_LIMIT 0xBFF00000

#define PAGE_SIZE 4096

/* Segment selectors: index into the GDT * 8 + requested privilege level. SYSENTER and SYSEXIT compute three
 * of them from the first, so only this order works: kernel code, kernel data, user code, user data. */
#define KERNEL_CS 0x08
#define KERNEL_DS 0x10
#define USER_CS (0x18 | 3)
#define USER_DS (0x20 | 3)
#define TSS_SELECTOR 0x28

#define VECTOR_IRQ0 0x20
#define VECTOR_SYSCALL 0x80
#define VECTOR_SYSENTER 0x81 /* not in the IDT: what the SYSENTER entry writes into its trap frame */

#endif
