#ifndef EXCEPTIONS_H
#define EXCEPTIONS_H

#include "support/bare.h"

/* Operands of the pieces of code. */
struct far_pointer {
    uint32_t offset;
    uint16_t selector;
} __attribute__((packed));
extern uint32_t selector;
extern struct far_pointer far_pointer;

void debug_traps(void);   /* exceptions_debug.c */
void page_faults(void);   /* exceptions_paging.c */
void interrupts(void);    /* exceptions_interrupts.c */
void ring3(void);         /* exceptions_ring3.c */
void call_gates(void);    /* exceptions_gates.c */
void virtual_8086(void);  /* exceptions_v86.c */
void tasks(void);         /* exceptions_tasks.c */

#endif
