/* VGA text memory at B8000: 25 rows of 80 cells.
 *
 * Cell:  15  14..12      11..8       7..0
 *       | blink | background | foreground | character (code page 437) |
 */
#include "vga.h"

#include <stdint.h>

#include "layout.h"
#include "memory.h"
#include "x86.h"

#define COLUMNS 80
#define ROWS 25
#define GREY_ON_BLACK 0x0700
#define CRTC_INDEX 0x3D4
#define CRTC_DATA 0x3D5
#define CURSOR_HIGH 0x0E
#define CURSOR_LOW 0x0F

static uint16_t *const cells = (uint16_t *)(KERNEL_BASE + 0xB8000);
static uint32_t cursor; /* row * COLUMNS + column */

static void clear(uint32_t from, uint32_t to)
{
    for (; from < to; from++)
        cells[from] = GREY_ON_BLACK | ' ';
}

void vga_init(void)
{
    clear(0, ROWS * COLUMNS);
}

static void scroll(void)
{
    memmove(cells, cells + COLUMNS, (ROWS - 1) * COLUMNS * sizeof *cells);
    clear((ROWS - 1) * COLUMNS, ROWS * COLUMNS);
    cursor -= COLUMNS;
}

void vga_put(char c)
{
    if (c == '\n')
        cursor += COLUMNS - cursor % COLUMNS;
    else if (c == '\b')
        cursor -= cursor % COLUMNS != 0;
    else if (c >= ' ')
        cells[cursor++] = GREY_ON_BLACK | (uint8_t)c;
    if (cursor >= ROWS * COLUMNS)
        scroll();
}

/* Four port writes, so once per line of output rather than once per character. */
void vga_show_cursor(void)
{
    outb(CRTC_INDEX, CURSOR_HIGH);
    outb(CRTC_DATA, (uint8_t)(cursor >> 8));
    outb(CRTC_INDEX, CURSOR_LOW);
    outb(CRTC_DATA, (uint8_t)cursor);
}
