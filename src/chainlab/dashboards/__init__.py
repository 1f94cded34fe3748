"""Tables, figures and diagrams of the lessons, and the one style they are drawn in.

    plt.style.use("chainlab.dashboards.style")

`tables` reads the course's data as DataFrames, `figures` draws them, `diagrams` draws boxes and arrows, and `archive`
is the dashboard of the evidence archive.
"""
