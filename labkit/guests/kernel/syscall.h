#ifndef SYSCALL_H
#define SYSCALL_H

#include "trap.h"

void sysenter_init(void); /* call only if the processor has it */
void syscall(struct trap_frame *frame);

#endif
