#ifndef PAGING32_H
#define PAGING32_H

#include "support/access.h"

#define P 0x001u
#define W 0x002u
#define U 0x004u
#define A 0x020u
#define D 0x040u
#define PS 0x080u /* in a PDE: a 4 MB page */
#define G 0x100u

#define ERROR_PRESENT 1u
#define ERROR_WRITE 2u
#define ERROR_USER 4u
#define ERROR_RESERVED 8u

extern uint32_t directory[1024], target_table[1024];

void set_entries(uint32_t pde_flags, uint32_t pte_flags); /* of the target page; empties the TLB */
void set_large(uint32_t pde_flags);                       /* a 4 MB page instead */
void set_write_protect(bool on);
uint32_t *target_pde(void);
uint32_t *target_pte(void);

void rights(void);      /* paging32_rights.c */
void translation(void); /* paging32_translation.c */
void restarts(void);    /* paging32_restarts.c */

#endif
