/* Programs: ELF files that programs.S put into the kernel image. Loading copies each segment to its pages. */
#include "elf.h"

#include <stddef.h>

#include "frames.h"
#include "layout.h"
#include "memory.h"
#include "paging.h"
#include "programs.h"

#define PT_LOAD 1
#define PF_W 2

struct elf_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version, entry, program_headers, section_headers, flags;
    uint16_t size, program_header_size, program_header_count;
};

struct program_header {
    uint32_t type, offset, address, physical, file_size, memory_size, flags, align;
};

static uint32_t page_up(uint32_t address)
{
    return (address + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1u);
}

static const uint8_t *find(const char *name)
{
    for (const struct program_file *file = program_files; file->name; file++)
        if (string_equal(file->name, name))
            return file->bytes;
    return NULL;
}

/* The linker script starts every segment on a page, so no two segments meet in one. */
static bool load_segment(uint32_t directory, const uint8_t *file, const struct program_header *segment)
{
    for (uint32_t done = 0; done < segment->file_size; done += PAGE_SIZE) {
        uint32_t frame = frame_allocate(), left = segment->file_size - done;
        if (!frame)
            return false;
        memcpy(direct_map(frame), file + segment->offset + done, left < PAGE_SIZE ? left : PAGE_SIZE);
        if (!map_page(directory, segment->address + done, frame, segment->flags & PF_W ? PTE_WRITABLE : 0)) {
            frame_release(frame);
            return false;
        }
    }
    return true;
}

bool elf_load(uint32_t directory, const char *name, struct program *program)
{
    const uint8_t *file = find(name);
    if (!file)
        return false;
    const struct elf_header *header = (const void *)file;
    const struct program_header *segment = (const void *)(file + header->program_headers);
    *program = (struct program){.entry = header->entry};
    for (uint32_t i = 0; i < header->program_header_count; i++, segment++) {
        if (segment->type != PT_LOAD)
            continue;
        if (!load_segment(directory, file, segment))
            return false;
        program->zero_start = page_up(segment->address + segment->file_size);
        program->end = page_up(segment->address + segment->memory_size);
    }
    return true;
}
