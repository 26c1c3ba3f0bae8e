#ifndef PIT_H
#define PIT_H

#include <stdint.h>

#define TIMER_HZ 100
#define MS_PER_TICK (1000 / TIMER_HZ)

extern uint32_t ticks; /* timer interrupts since boot */

void pit_init(void);
void timer_tick(void);

#endif
