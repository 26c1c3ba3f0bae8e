#ifndef ELF_H
#define ELF_H

#include <stdbool.h>
#include <stdint.h>

struct program {
    uint32_t entry;
    uint32_t zero_start; /* first page that is not in the file */
    uint32_t end;        /* end of bss, page aligned: the heap begins here */
};

bool elf_load(uint32_t directory, const char *name, struct program *program);

#endif
