#ifndef SCHEDULER_H
#define SCHEDULER_H

#include <stdint.h>

void schedule(void);
void yield(void);
void sleep_on(const void *channel);
void sleep_until(uint32_t tick);
void wake(const void *channel);
void wake_sleepers(void);
void idle_loop(void) __attribute__((noreturn));

extern uint32_t context_switches;
extern void trap_return(void); /* vectors.S */

#endif
