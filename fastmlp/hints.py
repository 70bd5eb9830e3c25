"""What users of other libraries write, and what to write here. Errors suggest it; nothing here is accepted.

In the tables, keys are what to write here, and values the names of others for it, in lower case.
"""


def _by_guess(table, place="{}"):
    """The reverse of a table, {name of others: what to write here}; `place` is a pattern for the latter."""
    return {guess: place.format(ours) for ours, guesses in table.items() for guess in guesses.split()}


# Words, by the end of the argument's name.
WORDS = {
    "loss": _by_guess(
        {
            "squared_error": "mse mse_loss mseloss mean_squared_error squared_loss l2 reg:squarederror",
            "absolute_error": "mae mae_loss mean_absolute_error l1 l1_loss l1loss reg:absoluteerror",
            "huber": "smooth_l1 smooth_l1_loss smoothl1loss huber_loss huberloss reg:pseudohubererror",
            "quantile": "pinball pinball_loss reg:quantileerror",
            "poisson": "poisson_nll poisson_nll_loss poissonnllloss count:poisson",
            "cross_entropy": "ce crossentropy categorical_crossentropy sparse_categorical_crossentropy "
            "crossentropyloss nll nll_loss nllloss log_loss logloss softmax multi:softmax multi:softprob",
            "binary_cross_entropy": "bce bceloss bce_loss bcewithlogits bce_with_logits bcewithlogitsloss "
            "binary_crossentropy logistic sigmoid binary:logistic",
            "focal": "binary_focal_crossentropy categorical_focal_crossentropy",
        }
    ),
    "activation": _by_guess(
        {
            "identity": "linear none",
            "sigmoid": "logistic logit expit",
            "threshold": "step heaviside binary_step",
            "relu": "rectifier",
            "exp": "exponential",
            "silu": "swish",
            "hard_swish": "hard_silu hardswish hardsilu",
        }
    ),
    "optimizer": _by_guess(
        {
            "sgd": "gd gradient_descent",
            "nesterov": "nag",
            "adam": "adamax nadam amsgrad",
            "adagrad": "adadelta",
        }
    ),
    "init": _by_guess(
        {
            "glorot_uniform": "glorot xavier xavier_uniform",
            "glorot_normal": "xavier_normal",
            "he_uniform": "he kaiming kaiming_uniform",
            "he_normal": "kaiming_normal",
            "lecun_normal": "lecun",
        }
    ),
    "metrics": _by_guess(
        {
            "accuracy": "acc categorical_accuracy sparse_categorical_accuracy binary_accuracy error merror",
            "auc": "roc_auc roc_auc_ovr auroc",
            "log_loss": "logloss mlogloss neg_log_loss cross_entropy",
            "r2": "r2_score",
            "rmse": "mse root_mean_squared_error",
            "mae": "mean_absolute_error",
        }
    ),
    "reduction": _by_guess({"mean": "avg average none sum_over_batch_size"}),
    "precision": _by_guess({"float32": "fp32 single 32", "bf16-mixed": "bf16 bfloat16 mixed mixed_bfloat16"}),
}

# Keyword arguments, by the function that takes them; those of one function are often given to another.
_ARGUMENTS = {
    "MLP": {
        "sizes=[inputs, hidden, outputs]": "sizes hidden_layer_sizes hidden_sizes hidden_units hidden_dim hidden "
        "layers layer_sizes units input_dim input_shape input_size in_features out_features output_dim",
        "activation=...": "activation activations act hidden_activation",
        "output_activation=...": "output_activation out_activation final_activation",
        "bias=...": "bias use_bias",
        "init=...": "init initializer kernel_initializer weight_init",
        "dtype=...": "dtype",
        "seed=...": "seed random_state random_seed",
        "scale=...": "scale scaling standardize normalize scaler",
    },
    "Trainer": {
        "net=...": "net model network module estimator",
        "loss=...": "loss loss_fn loss_function criterion objective",
        "optimizer=...": "optimizer optim opt solver",
        "optimizer=fastmlp.Momentum(momentum=...)": "momentum nesterov nesterovs_momentum",
        "optimizer=fastmlp.Adam(beta1=..., beta2=..., epsilon=...)": "betas beta_1 beta_2 eps epsilon",
        "optimizer=fastmlp.AdamW(weight_decay=...)": "weight_decay",
        "learning_rate=...": "learning_rate lr learning_rate_init eta step_size schedule scheduler lr_scheduler",
        "batch_size=...": "batch_size batch batchsize bs minibatch_size mini_batch_size",
        "l2=...": "l2 alpha reg_lambda lambda_ regularization kernel_regularizer",
        "shuffle=...": "shuffle",
        "seed=...": "seed random_state random_seed",
        "threads=...": "threads n_threads num_threads n_jobs nthread num_workers workers device",
        "clip_norm=...": "clip_norm clipnorm global_clipnorm max_norm max_grad_norm gradient_clip_val",
        "label_smoothing=...": "label_smoothing",
        "dropout=...": "dropout dropout_rate",
        "precision=...": "precision mixed_precision amp",
        "group=...": "group comm communicator process_group",
    },
    "Trainer.fit": {
        "epochs=...": "epochs epoch n_epochs num_epochs nb_epoch max_epochs max_iter n_iter iterations "
        "num_boost_round n_estimators",
        "validation_data=(X, y)": "validation_data validation val_data valid_data eval_set evals x_val y_val",
        "validation_fraction=...": "validation_fraction validation_split val_split val_fraction test_size",
        "patience=...": "patience early_stopping early_stopping_rounds n_iter_no_change",
        "tol=...": "tol min_delta",
        "progress=...": "progress verbose verbosity verbose_eval progress_bar",
        "sample_weight=...": "sample_weight sample_weights weight weights",
        "class_weight=...": "class_weight class_weights",
        "callbacks=[...]": "callbacks callback",
        "monitor=...": "monitor scoring",
        "metrics=[...]": "metrics metric eval_metric",
        "resume=...": "resume warm_start initial_epoch xgb_model",
    },
}
KEYWORDS = {place: _by_guess(table, place + "({})") for place, table in _ARGUMENTS.items()}

# Attributes and methods, by class.
_ATTRIBUTES = {
    "MLP": {
        "net.predict(X)": "forward predict_proba predict_on_batch decision_function transform apply call",
        "net.predict(X).argmax(axis=1)": "predict_classes",
        "Trainer(net).fit(X, y)": "fit train compile learn optimize fit_transform fit_generator",
        "Trainer(net).step(X, y)": "step train_on_batch train_step partial_fit",
        "net.gradient(X, y)": "grad gradients backward backprop value_and_grad",
        "net.evaluate(X, y)": "score loss test test_on_batch",
        "net.params": "parameters named_parameters get_params get_weights set_weights state_dict coef_",
        "net.weights": "coefs_ weight kernel",
        "net.biases": "intercepts_ intercept_",
        "net.scaling": "scaler normalizer",
        "net.sizes": "layers layer_sizes hidden_layer_sizes n_layers",
        "net.n_params": "count_params num_params num_parameters",
        "net.save(path)": "save_weights save_model dump",
        "MLP.load(path)": "load_weights load_model load_state_dict",
    },
    "Trainer": {
        "trainer.fit(X, y)": "train run compile learn fit_generator",
        "trainer.step(X, y)": "train_on_batch train_step partial_fit update backward",
        "trainer.net": "model network module",
        "trainer.net.predict(X)": "predict forward predict_proba predict_on_batch",
        "trainer.net.evaluate(X, y)": "evaluate score test validate",
        "trainer.net.summary()": "summary",
        "trainer.net.params": "params parameters get_weights",
        "trainer.learning_rate": "lr learning_rate_init",
        "trainer.optimizer_state": "state_dict load_state_dict",
        "trainer.history": "log logs losses loss_curve_",
    },
}
ATTRIBUTES = {kind: _by_guess(table) for kind, table in _ATTRIBUTES.items()}


def getattr_of(kind):
    """Method `__getattr__` of the class named `kind`, which Python calls for attributes that an object does not have.

    It raises an AttributeError, which names the attribute that users of other libraries look for.
    """

    def __getattr__(self, name):
        meant = ATTRIBUTES[kind].get(name)
        hint = f" (did you mean {meant}?)" if meant else ""
        message = f"{type(self).__name__!r} object has no attribute {name!r}{hint}"
        raise AttributeError(message, name=name, obj=self)

    return __getattr__
