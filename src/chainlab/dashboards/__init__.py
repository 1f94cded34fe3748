"""Tables and figures that lessons and reports share, and the one style they are drawn in.

    plt.style.use("chainlab.dashboards.style")

`chainlab.dashboards.tables` reads the kit's data as frames, `chainlab.dashboards.figures` draws.
"""
