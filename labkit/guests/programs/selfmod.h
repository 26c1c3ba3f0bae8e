#ifndef SELFMOD_H
#define SELFMOD_H

#include "support/bare.h"

/* Every piece of code ends with INT 43h, so that its registers can be looked at. */
#define END "int $0x43"
#define ENDED 0x43

/* EAX at the end, or BAD000xx: it ended with vector xx. */
uint32_t result(const char *code);

void stores(void);   /* selfmod_stores.c */
void mappings(void); /* selfmod_mappings.c */

#endif
