def sheet(about, results):
    yield ""
