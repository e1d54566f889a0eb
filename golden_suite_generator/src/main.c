/* nanobragg_reference: the plain double-precision simulator of the specification's faithful mode. */
#include <stdio.h>
#include <time.h>

#include "args.h"
#include "dump.h"
#include "output.h"
#include "report.h"
#include "trace.h"

int main(int argc, char **argv)
{
    Request request = parse_arguments(argc, argv);
    if (!request.seed.given) request.seed = (Int){true, (int)time(0)};
    Scene scene = settle_scene(request);
    print_summary(&scene, &request);
    if (request.trace_pixel[0].given)
        trace_pixel(&scene, request.trace_pixel[0].value, request.trace_pixel[1].value, request.trace_all);
    Outputs outputs = open_outputs(&request);
    if (scene.amplitudes.dump_to) write_dump(&scene.amplitudes);
    Image image = render(&scene, !request.no_progress && !request.printout);
    if (request.printout) print_pixels(&scene, &request);
    print_render_notes(&scene, &image);
    write_outputs(&outputs, &(Result){&scene, &request, &image});
    return 0;
}
