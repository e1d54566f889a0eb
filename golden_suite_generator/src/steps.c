#include "steps.h"

#include <math.h>
#include <stdio.h>

#include "refuse.h"

static int as_count(double value)
{
    if (!(value < 2147483647.0)) refuse("a range holds too many steps");
    return (int)value;
}

static int at_least(int least, int value) { return value < least ? least : value; }

Steps divergence_steps(Int count, Real range, Real step, const char *axis)
{
    bool has_count = count.given && count.value > 0;
    bool has_range = range.given && range.value >= 0.0;
    bool has_step = step.given && step.value > 0.0;
    Steps s = {1, 0.0, 0.0};
    if (!has_count && !has_range && has_step) {
        s = (Steps){2, step.value, step.value};
    } else if (!has_count && has_range && !has_step) {
        s = (Steps){2, range.value, range.value};
    } else if (!has_count && has_range && has_step) {
        s = (Steps){as_count(ceil(range.value / step.value)), range.value, step.value};
    } else if (has_count && !has_range && !has_step) {
        remark("WARNING: %sdivsteps without a range: the range is 1 radian (D43)", axis);
        s = (Steps){count.value, 1.0, 1.0 / count.value};
    } else if (has_count && !has_range && has_step) {
        s = (Steps){2, step.value, step.value};
    } else if (has_count && has_range && !has_step) {
        s.count = at_least(2, count.value);
        s.range = range.value;
        s.step = range.value / (s.count - 1);
    } else if (has_count) {
        s = (Steps){count.value, range.value, step.value};
    }
    if (s.range <= 0.0 || s.step <= 0.0 || s.count <= 0) s = (Steps){1, 0.0, 0.0};
    return s;
}

Steps dispersion_steps(Int count, Real width)
{
    bool has_count = count.given && count.value > 0;
    double said = width.given ? width.value : 0.0;
    Steps s = {1, 0.0, 0.0};
    if (!has_count && said >= 0.0) {
        s = (Steps){2, said, said};
    } else if (has_count && said >= 0.0) {
        s.count = at_least(2, count.value);
        s.range = said;
        s.step = said / (s.count - 1);
    } else if (has_count) {
        remark("WARNING: negative dispersion with steps is taken as 100%% (D43)");
        s = (Steps){count.value, 1.0, 1.0 / count.value};
    }
    if (s.range <= 0.0 || s.step <= 0.0) s = (Steps){1, 0.0, 0.0};
    return s;
}

Steps phi_steps(Int count, Real osc, Real step)
{
    bool has_count = count.given && count.value >= 0;
    bool has_osc = osc.given && osc.value >= 0.0;
    double said = step.given ? step.value : -1.0;
    int n = has_count ? at_least(1, count.value) : 1;
    if (!has_count && !has_osc) return said > 0.0 ? (Steps){2, said, said} : (Steps){1, 0.0, 0.0};
    if (!has_count && said <= 0.0) return (Steps){2, osc.value, osc.value / 2.0};
    if (!has_count) return (Steps){at_least(1, as_count(ceil(osc.value / said))), osc.value, said};
    if (!has_osc && said <= 0.0) {
        double degree = 1.0 / DEGREES_PER_RADIAN;
        return (Steps){n, degree, degree / n};
    }
    if (!has_osc) return (Steps){2, said, said};
    if (said < 0.0) return (Steps){n, osc.value, osc.value / n};
    return (Steps){n, osc.value, said};
}

Layers sensor_layers(const Request *r)
{
    bool has_count = r->thick_steps.given && r->thick_steps.value > 0;
    double thickness = r->thickness.given && !r->no_sensor ? r->thickness.value : 0.0;
    Layers l = {1, 0.0, thickness, r->absorption.given ? 1.0 / r->absorption.value : -1.0};
    if (r->no_sensor) l.mu = 0.0;
    if (!has_count && thickness >= 0.0) {
        l.count = 2;
        l.step = thickness / 2.0;
    } else if (!has_count) {
        l.thickness = 0.0;
    } else if (thickness >= 0.0) {
        l.count = at_least(2, r->thick_steps.value);
        l.step = thickness / (l.count - 1);
    } else {
        remark("WARNING: negative sensor thickness with layers is taken as 0.5 um (D43)");
        l.count = r->thick_steps.value;
        l.thickness = 0.5e-6;
        l.step = l.thickness / l.count;
    }
    if (l.thickness > 0.0 && l.mu < 0.0) {
        l.mu = 1.0 / l.thickness;
        printf("WARNING: setting detector attenuation depth to %g m\n", l.mu);
    }
    if (l.thickness <= 0.0 || l.step <= 0.0) {
        l.count = 1;
        l.thickness = l.step = 0.0;
    }
    return l;
}

Domains mosaic_domains(Int count, Real spread)
{
    bool has_count = count.given && count.value > 0;
    double said = spread.given ? spread.value : -1.0;
    if (!has_count && said > 0.0) {
        printf("WARNING: finite mosaicity with only one domain! upping to 10 mosaic domains\n");
        return (Domains){10, said};
    }
    if (has_count && said > 0.0) return (Domains){count.value, said};
    if (has_count)
        printf("WARNING: %s mosaic spread specified.  setting mosaic_domains = 1\n", said < 0.0 ? "no" : "zero");
    return (Domains){1, 0.0};
}
