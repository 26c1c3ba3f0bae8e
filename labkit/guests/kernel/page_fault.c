/* Page faults: most are not errors but the moment to do work that was put off.
 *   demand zero:    a page of heap, bss or stack gets its frame when it is touched first
 *   copy on write:  a page that fork left shared is copied when one side writes
 * Anything else is a mistake.
 *
 * Error code (Intel SDM vol. 3A, 4.7):   2 = from ring 3   1 = it was a write   0 = page was present
 */
#include "page_fault.h"

#include <stdbool.h>
#include <stddef.h>

#include "console.h"
#include "frames.h"
#include "layout.h"
#include "memory.h"
#include "paging.h"
#include "process.h"
#include "x86.h"

#define ERROR_PRESENT 1
#define ERROR_WRITE 2
#define ERROR_USER 4

struct fault_counts fault_counts;

static bool may_be_touched(uint32_t address)
{
    return (address >= current->zero_start && address < current->heap_end) ||
           (address >= USER_STACK_LIMIT && address < USER_STACK_TOP);
}

static bool demand_zero(uint32_t address)
{
    if (!may_be_touched(address))
        return false;
    uint32_t frame = frame_allocate();
    if (!frame)
        return false;
    if (!map_page(current->directory, address, frame, PTE_WRITABLE)) {
        frame_release(frame);
        return false;
    }
    fault_counts.demand_zero++;
    return true;
}

static bool copy_on_write(uint32_t address)
{
    entry_t *pte = page_table_entry(current->directory, address);
    if (!pte || !(*pte & PTE_COPY_ON_WRITE))
        return false;
    uint32_t old = *pte & ~PTE_FLAGS;
    if (frame_is_shared(old)) {
        uint32_t copy = frame_allocate();
        if (!copy)
            return false;
        memcpy(direct_map(copy), direct_map(old), PAGE_SIZE);
        frame_release(old);
        *pte = copy | PTE_PRESENT | PTE_USER | PTE_WRITABLE;
    } else { /* the other side has made its copy already, or is gone */
        *pte = (*pte & ~PTE_COPY_ON_WRITE) | PTE_WRITABLE;
    }
    invlpg(address);
    fault_counts.copy_on_write++;
    return true;
}

void page_fault(struct trap_frame *frame)
{
    uint32_t address = read_cr2(), error = frame->error;
    if (address < KERNEL_BASE && current->directory) { /* by the program, or by the kernel on its behalf */
        current->faults++;
        if (!(error & ERROR_PRESENT) && demand_zero(address))
            return;
        if ((error & ERROR_PRESENT) && (error & ERROR_WRITE) && copy_on_write(address))
            return;
    } else if (!from_user(frame)) {
        panic(frame, "page fault in the kernel");
    }
    fault_counts.killed++;
    print("%s[%u]: page fault, %s of %08x by %s at eip %08x (%s), killed\n", current->name, current->pid,
          error & ERROR_WRITE ? "write" : "read", address, error & ERROR_USER ? "ring 3" : "ring 0",
          frame->eip, error & ERROR_PRESENT ? "no right" : "no page");
    process_exit(128 + 14);
}
