#include "base/roff.h"

#include <stdbool.h>

void roff_text(struct buf *out, const char *text)
{
    bool line_start = true;
    for (const char *p = text; *p; p++) {
        if (line_start && (*p == '.' || *p == '\''))
            buf_put_str(out, "\\&");
        if (*p == '\\')
            buf_put_str(out, "\\e");
        else if (*p == '-')
            buf_put_str(out, "\\-");
        else
            buf_put_u8(out, (uint8_t)*p);
        line_start = *p == '\n';
    }
}

void roff_section(struct buf *out, const char *macro, const char *title)
{
    buf_printf(out, ".%s \"", macro);
    roff_text(out, title);
    buf_put_str(out, "\"\n");
}

void roff_tag(struct buf *out, const char *tag, const char *argument)
{
    buf_put_str(out, ".TP\n\\fB");
    roff_text(out, tag);
    buf_put_str(out, "\\fR");
    if (argument)
        roff_text(out, argument);
    buf_put_u8(out, '\n');
}
