#ifndef PAGE_FAULT_H
#define PAGE_FAULT_H

#include <stdint.h>

#include "trap.h"

struct fault_counts {
    uint32_t demand_zero, copy_on_write, killed;
};
extern struct fault_counts fault_counts;

void page_fault(struct trap_frame *frame);

#endif
