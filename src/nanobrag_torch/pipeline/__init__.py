"""From a settled experiment to pixels: the render and everything that runs it, in this order.

`render` draws one crystal on one panel; `compose` sums such renders into a scene; `simulator` runs whole detectors and
gives an `image`. `plan` cuts work into chunks, `trace` follows one pixel, `table_range` finds the first sample outside
the amplitudes, `jacobian` and `variants` serve many derivatives and many scenes at once, `describe` says in plain
numbers what was rendered.
"""
