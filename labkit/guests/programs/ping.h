/* The card and the Internet's headers, as far as ping needs them. */
#ifndef PING_H
#define PING_H

#include "support/bare.h"

#define LARGEST 1514
#define NONE 0

/* ping_card.c: an NE2000 at 300h, IRQ 9 */
extern uint8_t station[6];
bool card_init(void);
void card_send(const uint8_t *frame, uint32_t size);
uint32_t card_receive(uint8_t *frame, uint32_t ticks); /* waits in HLT; its size, or NONE after so many 10 ms */

#endif
