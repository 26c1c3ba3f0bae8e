/* Page tables: two levels, 4 KB pages.
 *
 *   linear address   31          22 21         12 11           0
 *                   | directory    | table       | offset       |
 *                   | index        | index       | in the page  |
 *
 *   entry (PDE, PTE) 31                     12 11  9  8  7  6  5  4  3  2  1  0
 *                   | frame address           | AVL | G|PS| D| A|  |  | U| W| P|
 *   P present, W writable, U user may use it; A accessed, D dirty (set by the processor); AVL: for our use.
 *   Intel SDM vol. 3A, 4.3
 */
#ifndef PAGING_H
#define PAGING_H

#include <stdint.h>

#include "layout.h"

#define PTE_PRESENT 0x001
#define PTE_WRITABLE 0x002
#define PTE_USER 0x004
#define PTE_ACCESSED 0x020
#define PTE_DIRTY 0x040
#define PTE_COPY_ON_WRITE 0x200 /* AVL: read-only for now, copied at the first write */
#define PTE_SHARED 0x400        /* AVL: stays shared after fork */
#define PTE_FLAGS 0xFFF

#define ENTRIES 1024
#define DIRECTORY_INDEX(linear) ((linear) >> 22)
#define TABLE_INDEX(linear) ((linear) >> 12 & 1023)
#define FIRST_KERNEL_ENTRY DIRECTORY_INDEX(KERNEL_BASE)
#define MAX_MEMORY 0x20000000u

typedef uint32_t entry_t;

extern entry_t kernel_page_directory[ENTRIES];

/* All physical memory is mapped at KERNEL_BASE. */
static inline void *direct_map(uint32_t physical)
{
    return (void *)(physical + KERNEL_BASE);
}

static inline uint32_t physical_of(const void *kernel_pointer)
{
    return (uint32_t)kernel_pointer - KERNEL_BASE;
}

void paging_init(uint32_t memory_bytes);

/* The PTE of a linear address in an address space; NULL if its page table does not exist. */
entry_t *page_table_entry(uint32_t directory, uint32_t linear);

/* Map one user page; makes the page table if need be. Returns 0 when out of memory. */
int map_page(uint32_t directory, uint32_t linear, uint32_t frame, uint32_t flags);

#endif
