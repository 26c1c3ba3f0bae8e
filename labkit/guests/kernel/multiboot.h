/* What the boot loader tells us: EAX = the magic, EBX = physical address of this (Multiboot Spec. 3.3). */
#ifndef MULTIBOOT_H
#define MULTIBOOT_H

#include <stdint.h>

#define MULTIBOOT_BOOTLOADER_MAGIC 0x2BADB002
#define MULTIBOOT_HAS_MEMORY (1 << 0)
#define MULTIBOOT_HAS_COMMAND_LINE (1 << 2)

struct multiboot_info {
    uint32_t flags;
    uint32_t mem_lower; /* KB from 0 */
    uint32_t mem_upper; /* KB from 1 MB */
    uint32_t boot_device;
    uint32_t command_line; /* physical address of text that ends with 0 */
};

#endif
