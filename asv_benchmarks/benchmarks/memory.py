"""Peak memory of a process that trains or predicts, including the libraries that it loads and the data."""

from . import cases


class Peak:
    params, param_names = cases.LARGE, ["case"]

    def setup(self, case):
        self.x, self.y, _ = cases.data(case)

    def peakmem_data(self, case):
        pass

    def peakmem_fit(self, case):
        cases.trainer(case).fit(self.x, self.y, epochs=1, progress=False)

    def peakmem_predict(self, case):
        cases.trainer(case).net.predict(self.x)
