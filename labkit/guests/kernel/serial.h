#ifndef SERIAL_H
#define SERIAL_H

#include <stddef.h>

void serial_init(void);
void serial_interrupt(void);
void serial_put(char c);                 /* into the ring; waits for the chip only if the ring is full */
void serial_start(void);                 /* hand the chip what it can take now, the rest by interrupts */
void serial_drain(void);                 /* wait until the last bit is out */
size_t serial_room(void);                /* free bytes in the ring */
const void *serial_room_channel(void);   /* woken when room appears */
void serial_resume_input(void);          /* the terminal has room again */

#endif
