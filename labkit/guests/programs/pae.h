#ifndef PAE_H
#define PAE_H

#include "support/access.h"

#define P 0x001u
#define W 0x002u
#define U 0x004u
#define A 0x020u
#define D 0x040u
#define PS 0x080u
#define NX (1ull << 63)

#define ERROR_PRESENT 0x01u
#define ERROR_WRITE 0x02u
#define ERROR_USER 0x04u
#define ERROR_RESERVED 0x08u
#define ERROR_FETCH 0x10u

typedef uint64_t entry_t;
extern entry_t pointers[4], directory[512], target_table[512];

entry_t *target_pde(void);
entry_t *target_pte(void);
void set_entries(entry_t pde_flags, entry_t pte_flags);
void set_large(entry_t pde_flags);
bool has_no_execute(void);
void set_no_execute(bool on); /* EFER.NXE; empties the TLB */

void rights(bool no_execute); /* pae_rights.c */
void translation(void);       /* pae_translation.c */

#endif
